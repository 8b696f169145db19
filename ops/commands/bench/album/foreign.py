"""Which files and folders beside photos other programs made: thumbnails, previews and bins.

Google Takeout's `IMG_1-edited.jpg` is not among them: it is the owner's version, and counts with
its original as one burst.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate

_NAMES = (
    # Hidden: .thumbnails, QNAP's .@__thumb, .Trash-1000, AppleDouble's ._IMG.jpg.
    ".*",
    "@eaDir",  # Synology's thumbnails (immich#7980)
    "eaDir_tmp",  # the same, made on a computer
    "SYNOPHOTO_*",  # the same, copied out of @eaDir (immich#12324)
    "SYNOFILE_THUMB_*",  # Synology Drive
    "#recycle",  # Synology
    "#snapshot",
    "@__thumb",  # QNAP, as some shares show it
    "@Recycle",
    "@Recently-Snapshot",
    "$RECYCLE.BIN",  # Windows
    "RECYCLER",
    "System Volume Information",
    "lost+found",
    "thumbnails",  # PhotoPrism, Android
    "thumbs",  # Immich, gallery generators
    "encoded-video",  # Immich
    "*.lrdata",  # previews of a Lightroom catalogue
    "Recently Deleted",  # iCloud
)
"""In upper or lower case; `*` stands for anything. Also from the exclusions of Immich
(immich#12566) and of immich-go's --ban-file."""
_NAMES_IN_A_FOLDER = (
    "*.photoslibrary/resources",  # Apple Photos; its photos are in originals
    "*.photolibrary/Thumbnails",  # iPhoto
    "*.photolibrary/Previews",
    "CaptureOne/Cache",  # Capture One
)


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, patterns)), re.IGNORECASE)


_FOREIGN, _FOREIGN_IN_A_FOLDER = _any_of(_NAMES), _any_of(_NAMES_IN_A_FOLDER)


def is_foreign(name: str, *, folder: str) -> bool:
    """Whether another program made a file or folder.

    Args:
        name: Its name.
        folder: The name of the folder that contains it.
    """
    return (
        _FOREIGN.match(name) is not None
        or _FOREIGN_IN_A_FOLDER.match(f"{folder}/{name}") is not None
    )
