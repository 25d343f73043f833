#!/bin/bash
# Starts one part of Ceph: mon, osd or rgw. What a part needs is made at its first start.
set -eu
dir=$1
export CEPH_CONF=$dir/ceph.conf
case $2 in
mon)
  if [ ! -e "$dir/mon/made" ]; then
    rm -rf "$dir/mon" && mkdir "$dir/mon"
    key() { ceph-authtool "$dir/keyring.new" --gen-key "$@"; }
    ceph-authtool --create-keyring "$dir/keyring.new" --gen-key -n mon. --cap mon 'allow *'
    key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
    key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *'
    monmaptool --create --clobber --fsid "$(ceph-conf fsid)" --addv a '[v2:127.0.0.1:6789]' "$dir/monmap"
    ceph-mon --mkfs -i a --keyring "$dir/keyring.new" --monmap "$dir/monmap"
    mv "$dir/keyring.new" "$dir/keyring"
    touch "$dir/mon/made"
  fi
  exec ceph-mon -i a -f
  ;;
osd)
  if [ ! -e "$dir/osd/made" ]; then
    rm -rf "$dir/osd" && mkdir "$dir/osd"
    [ -e "$dir/osd.uuid" ] || cat /proc/sys/kernel/random/uuid >"$dir/osd.uuid"
    timeout 60 ceph osd new "$(cat "$dir/osd.uuid")" # the same one however often
    ceph-osd -i 0 --mkfs --osd-uuid "$(cat "$dir/osd.uuid")"
    touch "$dir/osd/made"
  fi
  exec ceph-osd -i 0 -f
  ;;
rgw)
  timeout 60 ceph osd stat | grep -q ' 1 up'
  radosgw-admin user info --uid unip >/dev/null 2>&1 || radosgw-admin user create --uid unip --display-name unip \
    --access-key "$S3_USER" --secret-key "$S3_PASSWORD" --max-buckets=0 --caps 'roles=*' >/dev/null
  call() { curl -sS -m 20 --fail-with-body --aws-sigv4 "aws:amz:default:$1" --user "$S3_USER:$S3_PASSWORD" "${@:2}" "$S3_URL"; }
  # RGW takes no policy with a line break in it.
  trust='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam:::user/unip"]},'
  trust+='"Action":["sts:AssumeRole"]}]}'
  rights='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*"],'
  rights+='"Resource":["arn:aws:s3:::unip-*","arn:aws:s3:::unip-*/*"]}]}'
  (
    # The role that sessions are made of, what it may do, and the topic that tells unip.
    until curl -s -m 5 -o /dev/null "$S3_URL"; do sleep 0.5; done
    call iam --data-urlencode Action=CreateRole --data-urlencode RoleName=unip --data-urlencode MaxSessionDuration=7200 \
      --data-urlencode "AssumeRolePolicyDocument=$trust" || true # it is there
    call iam --data-urlencode Action=PutRolePolicy --data-urlencode RoleName=unip --data-urlencode PolicyName=unip \
      --data-urlencode "PolicyDocument=$rights"
    call sns --data-urlencode Action=CreateTopic --data-urlencode Name=unip \
      --data-urlencode Attributes.entry.1.key=push-endpoint --data-urlencode "Attributes.entry.1.value=$WEBHOOK" \
      --data-urlencode Attributes.entry.2.key=persistent --data-urlencode Attributes.entry.2.value=true
  ) &
  exec radosgw -n client.admin -f
  ;;
esac
