"""Any number of pictures with their patients' tables: results that survive anything, DICOM, FHIR, and a cluster.

It lies directly above the runtime and imports no torch; pandas, pydicom and ray only where they are asked for.
"""
