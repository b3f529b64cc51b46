"""Speaker verification: the library behind the recipes. Nothing here knows a stage number or a corpus."""
