"""Errors of the volume: which of them a retry can mend, and what to do about the others.

The volume may be an NFS export, a CIFS share, a disk of the node or a FUSE mount.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from .contract import NO_SPACE, NOT_AS_PLANNED, TRANSIENT
from .errors import DownloadError
from .folders import shown

_ACCESS = "expected a directory that user {user} can write"
_IN_THE_WAY = "something else has the name of a file or folder of this program. Move it away."
_STORES = "expected a file system that stores {}. Use NFS, ext4 or XFS."
NO_LINKS = "expected a volume with symbolic links. Mount a CIFS share with mfsymlinks, or use NFS."

_ROWS = (
    (NO_SPACE, "ENOSPC", "the volume is full. Enlarge it, or prune unused files."),
    (NO_SPACE, "EDQUOT", "the volume is full for user {user}. Raise the quota, or prune."),
    (NOT_AS_PLANNED, "EACCES EPERM", _ACCESS),
    (NOT_AS_PLANNED, "EROFS", f"mounted read-only, or its file system has errors; {_ACCESS}"),
    (NOT_AS_PLANNED, "ENOTDIR EISDIR EEXIST ENOTEMPTY ELOOP", _IN_THE_WAY),
    (NOT_AS_PLANNED, "EBUSY", "something is mounted there. Unmount it."),
    (NOT_AS_PLANNED, "EXDEV", "another file system is mounted inside the volume. Unmount it."),
    (NOT_AS_PLANNED, "ENAMETOOLONG", _STORES.format("names of this length")),
    (NOT_AS_PLANNED, "EFBIG", _STORES.format("files of this size (FAT ends at 4 GiB)")),
    (NOT_AS_PLANNED, "EMLINK", _STORES.format("so many entries in a folder")),
    (NOT_AS_PLANNED, "EINVAL EILSEQ", _STORES.format("these names (FAT and CIFS refuse some)")),
    (NOT_AS_PLANNED, "EOPNOTSUPP ENOSYS", NO_LINKS),
    (
        NOT_AS_PLANNED,
        "ENOKEY EKEYEXPIRED EKEYREVOKED EKEYREJECTED",
        "the mount has no valid credentials. Renew its Kerberos ticket.",
    ),
    (TRANSIENT, "EIO EREMOTEIO", "the disk or the volume's server fails. Check its log."),
    (TRANSIENT, "ESTALE", "the export changed on its server, or another client removed a file"),
    (TRANSIENT, "ENOENT", "another program removed it, or the volume was unmounted"),
    (
        TRANSIENT,
        "ETIMEDOUT EHOSTDOWN EHOSTUNREACH ENETUNREACH ECONNREFUSED ECONNRESET ECONNABORTED "
        "ENOTCONN ESHUTDOWN EPIPE ENODEV ENXIO",
        "the volume's server does not answer. Check it, and the mount.",
    ),
    (TRANSIENT, "ENOLCK EAGAIN EINTR", "the volume's server is busy"),
    (TRANSIENT, "ENOMEM ENOBUFS EMFILE ENFILE", "the node lacks memory or descriptors"),
)
ADVICE = {
    getattr(errno, name): (code, advice) for code, names, advice in _ROWS for name in names.split()
}
"""Number of an error -> exit code and what to do. TRANSIENT: the next run may succeed."""


def volume_error(models: Path, error: OSError) -> DownloadError:
    """Convert an error of the volume, with the exit code for a retry."""
    code, advice = ADVICE.get(error.errno or 0, (TRANSIENT, ""))
    where = str(models)
    if isinstance(error.filename, str) and (path := Path(error.filename)) != models:
        where += f": {shown(models, path)}" if path.is_relative_to(models) else ""
    reason = error.strerror or str(error)
    if advice:
        reason += f"; {advice.format(user=os.getuid())}"
    return DownloadError(code, f"{where}: {reason}")
