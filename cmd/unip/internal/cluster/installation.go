package cluster

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/translate/installation"
)

// InstalledConfig is the unip.yaml of the installation, and whether there is one. Without it, and with an
// error, the configuration is that of nothing: the defaults.
func (c *Cluster) InstalledConfig(ctx context.Context) (conf installation.Config, there bool, err error) {
	conf, _ = installation.Parse(nil) // of nothing come the defaults
	data, there, err := c.configMap(ctx, names.Config)
	if err != nil || !there {
		return conf, there, err
	}
	read, err := installation.Parse([]byte(data[names.ConfigFile]))
	if err != nil {
		return conf, true, err
	}
	return read, true, nil
}

// InstalledRelease is what modules run of unip itself, by the installation, and whether it says so.
func (c *Cluster) InstalledRelease(ctx context.Context) (r installation.Release, there bool, err error) {
	data, there, err := c.configMap(ctx, names.Release)
	if err != nil || !there {
		return r, there, err
	}
	if r, err = installation.ParseRelease(data); err != nil {
		return r, true, fmt.Errorf("ConfigMap %s/%s: %w", names.SystemNamespace, names.Release, err)
	}
	return r, true, nil
}

// configMap is the data of one of the installation's ConfigMaps.
func (c *Cluster) configMap(ctx context.Context, name string) (data map[string]string, there bool, err error) {
	o := newObject(schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}, names.SystemNamespace, name)
	if o, err = c.get(ctx, o); err != nil || o == nil {
		return nil, false, err
	}
	data, _, err = unstructured.NestedStringMap(o.Object, "data")
	return data, true, err
}
