"""A Spark job whose executors are processes of their own and hold delegation tokens alone (arguments: the URL of a folder, a file of tokens).
Spark itself hands tokens to executors on YARN and Kubernetes; its own cluster leaves that to whoever starts the job."""

import sys

from pyspark.sql import SparkSession

base, tokens = sys.argv[1:]
spark = (
    SparkSession.builder.master("local-cluster[1,1,768]")
    .config("spark.ui.enabled", "false")
    .config("spark.executor.memory", "512m")
    .config("spark.sql.shuffle.partitions", "2")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.executorEnv.HADOOP_TOKEN_FILE_LOCATION", tokens)
    .getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")
rows = spark.range(20_000).selectExpr("id", "id % 100 as key")
rows.write.mode("overwrite").parquet(f"{base}/rows")
print("RESULT", spark.read.parquet(f"{base}/rows").filter("key = 42").count())

spark.stop()
