"""From features to numbers: probes, fusion, floors, metrics, and how sure each number is."""
