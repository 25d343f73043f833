"""What people do with boto3, each step checked."""

import sys
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

endpoint, key, secret, bucket, small, large, got = sys.argv[1:]
s3 = boto3.client(
    "s3",
    endpoint_url=endpoint,
    aws_access_key_id=key,
    aws_secret_access_key=secret,
    region_name="us-east-1",
    config=Config(signature_version="s3v4"),  # of links: else boto3 makes those of version 2, which are over
)

s3.upload_file(small, bucket, "a/small", ExtraArgs={"Metadata": {"who": "ann"}, "ContentType": "text/plain"})
s3.upload_file(large, bucket, "a/large")
s3.download_file(bucket, "a/large", got)

head = s3.head_object(Bucket=bucket, Key="a/small")
assert head["Metadata"] == {"who": "ann"} and head["ContentType"] == "text/plain", head
assert s3.get_object(Bucket=bucket, Key="a/small", Range="bytes=1-2")["Body"].read() == b"ma"

listed = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
assert [p["Prefix"] for p in listed["CommonPrefixes"]] == ["a/"], listed

s3.copy({"Bucket": bucket, "Key": "a/large"}, bucket, "b/copy")
size = s3.head_object(Bucket=bucket, Key="a/large")["ContentLength"]
assert s3.head_object(Bucket=bucket, Key="b/copy")["ContentLength"] == size

link = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "linked"}, ExpiresIn=60)
urllib.request.urlopen(urllib.request.Request(link, data=b"by link", method="PUT")).read()
assert s3.get_object(Bucket=bucket, Key="linked")["Body"].read() == b"by link"

s3.put_object_tagging(Bucket=bucket, Key="linked", Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
assert s3.get_object_tagging(Bucket=bucket, Key="linked")["TagSet"] == [{"Key": "k", "Value": "v"}]

try:
    s3.head_object(Bucket=bucket, Key="missing")
    raise AssertionError("an object that there is not")
except ClientError as e:
    assert e.response["Error"]["Code"] == "404", e

gone = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "linked"}, {"Key": "b/copy"}, {"Key": "missing"}]})
assert not gone.get("Errors"), gone
left = sorted(o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"])
assert left == ["a/large", "a/small"], left
