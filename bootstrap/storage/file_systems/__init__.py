"""What fsspec knows as a file system, by one class: other clouds' stores, SFTP, HDFS."""
