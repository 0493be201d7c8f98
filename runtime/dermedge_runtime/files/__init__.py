"""Files that dermedge writes and reads: whole or absent, never over an input, caches in the user's folder."""

from __future__ import annotations

from .user_cache import cache_folder
from .whole_or_absent import atomic_path, refuse_overwriting, require_folder_place, write_json, write_text

__all__ = ["atomic_path", "cache_folder", "refuse_overwriting", "require_folder_place", "write_json", "write_text"]
