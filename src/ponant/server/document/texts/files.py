"""Texts of files."""

from collections.abc import Mapping

from ponant.server.document.examples.files import DATASET, FILE, FILE_ID, SIGNED_URL
from ponant.server.document.texts.field_text import FieldText, SchemaText

_ID = FieldText("Id of the file.", FILE_ID)
_OBJECT = FieldText("`file`.", "file")
_PURPOSE = (
    "Purpose of the file: `fine-tune` for datasets of fine-tuning jobs, `batch` or `ocr`. Files for `batch` and `ocr` "
    "are stored, but this server has no operation that uses them."
)

_FILE = {
    "id": _ID,
    "object": _OBJECT,
    "bytes": FieldText("Size in bytes.", FILE["bytes"]),
    "created_at": FieldText("Time of the upload, as a Unix timestamp in seconds.", FILE["created_at"]),
    "filename": FieldText("Name of the uploaded file, without folders.", FILE["filename"]),
    "purpose": FieldText(_PURPOSE, "fine-tune"),
    "sample_type": FieldText(
        "Type of the samples: `instruct` (conversations, or code to fill in), `pretrain` (plain text, which jobs "
        "refuse) or `batch_request`. This server returns no other value.",
        "instruct",
    ),
    "num_lines": FieldText("Number of non-blank lines; null for a file that is not JSON Lines.", 4),
    "mimetype": FieldText("Media type, from the upload or from the file name.", "application/jsonl"),
    "source": FieldText("Source of the file: always `upload`.", "upload"),
    "signature": FieldText("SHA-256 hash of the content, in hexadecimal digits.", FILE["signature"]),
    "expires_at": FieldText(
        "Time when the file will be deleted, as a Unix timestamp in seconds; null for a file without an expiry.", None
    ),
    "visibility": FieldText(
        "Visibility given in the upload. Every key of this server sees every file: `user` is accepted without effect.",
        "workspace",
    ),
}

FILE_TEXTS: Mapping[str, SchemaText] = {
    "UploadFileIn": SchemaText(
        "The form of an upload.",
        {
            "file": FieldText(
                "The file. One for fine-tuning is JSON Lines: a JSON object of at most 4 MiB on each line, in plain "
                "UTF-8; invalid lines are refused with their numbers. The size limit is the setting `max_file_size`.",
                DATASET,
            ),
            "purpose": FieldText(_PURPOSE, "fine-tune"),
            "expiry": FieldText(
                "Number of hours after which the file is deleted, from 1 to 876,000. Without it, the file is kept.", 24
            ),
            "visibility": FieldText(
                "`workspace` or `user`. Every key of this server sees every file: `user` is accepted without effect.",
                "workspace",
            ),
        },
    ),
    "FileSchema": SchemaText("A file.", _FILE),
    "UploadFileOut": SchemaText("The uploaded file.", _FILE),
    "RetrieveFileOut": SchemaText(
        "A file.", {**_FILE, "deleted": FieldText("Always false: deleted files are not found.", False)}
    ),
    "ListFilesOut": SchemaText(
        "A page of files, the newest first.",
        {
            "data": FieldText("Files of the page.", [FILE]),
            "object": FieldText("`list`.", "list"),
            "total": FieldText("Total number of files on all pages; absent with `include_total=false`.", 1),
        },
    ),
    "FileSignedURL": SchemaText(
        "A temporary address of a file's content.",
        {"url": FieldText("Address that returns the content without a key until it expires.", SIGNED_URL["url"])},
    ),
    "DeleteFileOut": SchemaText(
        "A deleted file.",
        {"id": _ID, "object": _OBJECT, "deleted": FieldText("Always true: the file is deleted.", True)},
    ),
}
