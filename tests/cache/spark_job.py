"""A Spark job over one folder (argument: its URL): text, Parquet written, overwritten, appended, filtered, joined; partitions, ORC, CSV, a sort;
K-means. Prints what came out, one JSON object, so that two folders can be compared."""

import json
import sys

from pyspark.ml.clustering import KMeans
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import SparkSession

base = sys.argv[1]
spark = (
    SparkSession.builder.master("local[2]")
    .config("spark.ui.enabled", "false")
    .config("spark.sql.shuffle.partitions", "2")
    .config("spark.hadoop.parquet.hadoop.vectored.io.enabled", str(base.startswith("hdfs:")).lower())
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.driver.host", "127.0.0.1")
    .getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")
said = {}

lines = spark.sparkContext.parallelize([f"line {n % 7}" for n in range(10_000)], 3)
lines.saveAsTextFile(f"{base}/text")
text = spark.sparkContext.textFile(f"{base}/text", 4)
said["lines"] = text.count()
said["words"] = sorted(text.map(lambda line: (line, 1)).reduceByKey(lambda a, b: a + b).collect())

rows = spark.range(50_000).selectExpr("id", "id % 100 as key", "cast(id * 0.5 as double) as half")
rows.write.parquet(f"{base}/rows")
rows.write.mode("overwrite").parquet(f"{base}/rows")
rows.limit(1000).write.mode("append").parquet(f"{base}/rows")
spark.range(100).selectExpr("id as key", "concat('name ', id) as name").write.parquet(f"{base}/names")
rows, names = spark.read.parquet(f"{base}/rows"), spark.read.parquet(f"{base}/names")
said["rows"] = rows.count()
said["filtered"] = rows.filter("key = 42 and half > 100").count()
said["joined"] = [list(row) for row in rows.join(names, "key").groupBy("name").sum("half").orderBy("name").limit(5).collect()]

rows.write.partitionBy("key").mode("overwrite").parquet(f"{base}/parts")
rows.filter("key < 10").write.partitionBy("key").mode("overwrite").parquet(f"{base}/parts")
parts = spark.read.parquet(f"{base}/parts")
said["parts"] = [list(row) for row in parts.groupBy("key").count().orderBy("key").collect()]
rows.write.orc(f"{base}/orc")
said["orc"] = spark.read.orc(f"{base}/orc").selectExpr("sum(id)", "sum(half)", "count(*)").first()
rows.write.option("header", True).csv(f"{base}/csv")
said["csv"] = spark.read.option("header", True).csv(f"{base}/csv", inferSchema=True).selectExpr("sum(id)", "max(half)").first()
spark.range(200_000).selectExpr("xxhash64(id) as hash", "id").sort("hash").write.parquet(f"{base}/sorted")
hashes = spark.read.parquet(f"{base}/sorted").rdd.map(lambda row: row.hash)
bounds = hashes.mapPartitions(lambda part: [(all(a <= b for a, b in zip(some, some[1:])), len(some)) for some in [list(part)]]).collect()
said["sorted"] = [all(in_order for in_order, _ in bounds), sum(count for _, count in bounds)]

points = VectorAssembler(inputCols=["half", "key"], outputCol="features").transform(rows)
model = KMeans(k=3, seed=7, maxIter=5).fit(points)
said["centers"] = [[round(number, 6) for number in center] for center in model.clusterCenters()]
print("RESULT " + json.dumps(said))
spark.stop()
