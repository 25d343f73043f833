//go:build integration

package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// guardsMetrics asks as a Prometheus does, with the token of an account that has the ClusterRole of
// config/, and as others.
func (c *cluster) guardsMetrics(t *testing.T) {
	token := func(name string) string {
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
		must(t, c.Create(t.Context(), account))
		request := &authenticationv1.TokenRequest{}
		must(t, c.SubResource("token").Create(t.Context(), account, request))
		return request.Status.Token
	}
	reader, stranger := token("prometheus"), token("stranger")
	must(t, c.Create(t.Context(), &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "prometheus"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "unip-metrics-reader"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "default", Name: "prometheus"}}}))
	http1 := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // as Prometheus does with it
	get := func(bearer string) (int, string, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+c.metrics+"/metrics", nil)
		must(t, err)
		if bearer != "" {
			r.Header.Set("Authorization", "Bearer "+bearer)
		}
		resp, err := http1.Do(r)
		if err != nil {
			return 0, "", err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b), err
	}
	eventually(t, "the metrics", func() error { // the binding reaches the authorizer a moment later
		status, text, err := get(reader)
		if err != nil || status != 200 || !strings.Contains(text, "unip_controller_leading 1") {
			return fmt.Errorf("%d: %.200s %w", status, text, err)
		}
		return nil
	})
	for name, x := range map[string]struct {
		bearer string
		want   int
	}{"nobody": {"", 401}, "no token of this cluster": {"e30.e30.x", 401}, "one who may not": {stranger, 403}} {
		if status, text, err := get(x.bearer); err != nil || status != x.want || strings.Contains(text, "unip_") {
			t.Errorf("%s gets %d: %.200s %v", name, status, text, err)
		}
	}
	resp, err := http.Get("http://" + c.metrics + "/metrics")
	must(t, err)
	resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		t.Error("they are sent in the clear")
	}
	t.Run("by Prometheus", func(t *testing.T) { c.isScraped(t, reader) })
}
