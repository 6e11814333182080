"""Jobs as data: the store, who runs what when, and the processes that run it."""
