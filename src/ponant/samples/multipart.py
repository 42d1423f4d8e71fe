"""The text of a multipart form before the content of its file, for languages without a library for it."""

from ponant.samples.call import UploadForm, field_text

BOUNDARY = "--BOUNDARY"
"""Line that stands for the boundary of a part."""


def head_lines(form: UploadForm) -> list[str]:
    """Return the lines, without the two empty ones before the content."""
    lines = []
    for name, value in form.fields.items():
        lines += [BOUNDARY, f'Content-Disposition: form-data; name="{name}"', "", field_text(value)]
    file = form.file_name.replace('"', "%22")
    disposition = f'Content-Disposition: form-data; name="file"; filename="{file}"'
    return [*lines, BOUNDARY, disposition, "Content-Type: application/octet-stream"]
