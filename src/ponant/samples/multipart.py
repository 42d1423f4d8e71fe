"""The text of a multipart form before the content of its file, for languages without a library for it."""

from ponant.samples.call import UploadForm, field_text

BOUNDARY = "--BOUNDARY"
"""Line that stands for the boundary of a part."""


def head_lines(form: UploadForm) -> list[str]:
    """Return the lines, without the two empty ones before the content."""
    lines = []
    for name, value in form.fields.items():
        lines += [BOUNDARY, f'Content-Disposition: form-data; name="{_quoted(name)}"', "", field_text(value)]
    disposition = f'Content-Disposition: form-data; name="file"; filename="{_quoted(form.file_name)}"'
    return [*lines, BOUNDARY, disposition, "Content-Type: application/octet-stream"]


def _quoted(name: str) -> str:
    """Return a name without characters that would end it, as browsers write it."""
    return name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
