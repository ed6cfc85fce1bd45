"""How files of data are found, fetched and read: every reader takes hostile files for damaged ones."""
