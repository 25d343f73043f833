package main

import (
	_ "embed"
	"strings"
)

// Ceph comes from Debian's packages: a monitor, one OSD in a file, and RGW, which is S3.
var (
	//go:embed ceph/ceph.conf
	cephConf string
	//go:embed ceph/ceph.sh
	cephScript string
)

var ceph = s3Server{
	name:   "ceph",
	debian: map[string]string{"radosgw": "radosgw", "ceph-mon": "ceph-mon", "ceph-osd": "ceph-osd", "curl": "curl"},
	daemons: func(i instance, k s3Keys) []daemon {
		part := func(name, part, becomes string) daemon {
			return daemon{name: name, args: []string{"bash", i.dir("ceph-config", "ceph.sh"), i.dir("ceph-config"), part},
				becomes: becomes}
		}
		gateway := part("s3", "rgw", "radosgw")
		gateway.env = []string{"S3_USER=" + k.user, "S3_PASSWORD=" + k.password, "S3_URL=" + i.s3() + "/",
			"WEBHOOK=" + receiver + "ceph/" + k.token}
		return []daemon{part("ceph-mon", "mon", "ceph-mon"), part("ceph-osd", "osd", "ceph-osd"), gateway}
	},
	files: func(i instance, k s3Keys) map[string]string {
		return map[string]string{
			"ceph.sh": cephScript,
			"ceph.conf": strings.NewReplacer("{dir}", i.dir("ceph-config"), "{node}", i.nodeIP(),
				"{fsid}", "8f3eb840-3249-461e-b691-f2dad53e8686", "{stsKey}", k.password[:16]).Replace(cephConf),
		}
	},
	settings: `      region: default
      dialect: ceph
      notificationARN: arn:aws:sns:default::unip
      sts: {roleARN: 'arn:aws:iam:::role/unip'}
`,
}
