"""Any number of pictures with their patients' tables: results that survive anything, DICOM, FHIR, and a cluster.

It lies directly above the runtime and imports no torch; pandas, pydicom and ray only where they are asked for.
"""

SUMMARY = "Classify images: of one patient, of many with their table, all in a folder, or - for standard input."
"""Of `dermedge infer`, in the list of commands."""
