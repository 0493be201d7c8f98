"""DICOM files -> pictures, one for every frame, and what they say of the patient: age, sex and site, nothing else.

`recognised` tells such a file. `found` lists its frames: `header` reads all before the pixels, `patient_values` and
`sites` turn it into the model's words. `frame` fetches one frame when its turn comes: `frame_places` finds its bytes,
`pixels` decodes them, by `native`, `run_length`, `jpeg`, `jpeg_ls` or `jpeg_2000`, and `colours` makes them RGB or
grey. `quiet` keeps pydicom from quoting the file.
"""
