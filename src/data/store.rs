//! Datasets on disk, in the layout of Hugging Face `save_to_disk` (Arrow IPC streams and JSON).
