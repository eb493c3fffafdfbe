"""Starting the job: spark-submit, clusters, the job as a process, its signals, the Spark session."""
