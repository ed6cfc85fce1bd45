"""How a data set becomes batches: in an order, by threads or processes, at a place that can be stored."""
