package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// pair is a certificate with its key.
type pair struct {
	cert              *x509.Certificate
	key               *ecdsa.PrivateKey
	certPEM, keyBytes []byte
}

// authority writes certificates into a folder; the first error stays.
type authority struct {
	dir string
	err error
}

func (a *authority) write(name string, b []byte) {
	if a.err == nil {
		a.err = os.WriteFile(filepath.Join(a.dir, name), b, 0o600)
	}
}

// issue makes a pair signed by ca; without a ca it is one.
func (a *authority) issue(name string, ca *pair, t *x509.Certificate) *pair {
	if a.err != nil {
		return &pair{}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.err = err
		return &pair{}
	}
	t.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		a.err = err
		return &pair{}
	}
	t.NotBefore, t.NotAfter = time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0)
	t.BasicConstraintsValid, t.KeyUsage = true, x509.KeyUsageDigitalSignature
	parent, signer := t, key
	if ca != nil {
		parent, signer = ca.cert, ca.key
	} else {
		t.IsCA = true
		t.KeyUsage |= x509.KeyUsageCertSign
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, &key.PublicKey, signer)
	if err != nil {
		a.err = err
		return &pair{}
	}
	p := &pair{key: key, certPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		keyBytes: keyPEM(key)}
	if p.cert, err = x509.ParseCertificate(der); err != nil {
		a.err = err
	}
	a.write(name+".crt", p.certPEM)
	a.write(name+".key", p.keyBytes)
	return p
}

func keyPEM(key *ecdsa.PrivateKey) []byte {
	der, _ := x509.MarshalECPrivateKey(key) // P-256 keys always encode
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

func (a *authority) client(name string, ca *pair, user string, groups ...string) *pair {
	return a.issue(name, ca, &x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

func (a *authority) server(name string, ca *pair, names []string, ips ...string) {
	t := &x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		DNSNames:    names,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, ip := range ips {
		t.IPAddresses = append(t.IPAddresses, net.ParseIP(ip))
	}
	a.issue(name, ca, t)
}

func (a *authority) kubeconfig(name, url string, ca, p *pair) {
	b64 := base64.StdEncoding.EncodeToString
	a.write(name+".kubeconfig", fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: unip
clusters:
- name: unip
  cluster: {server: %q, certificate-authority-data: %s}
contexts:
- name: unip
  context: {cluster: unip, user: unip}
users:
- name: unip
  user: {client-certificate-data: %s, client-key-data: %s}
`, url, b64(ca.certPEM), b64(p.certPEM), b64(p.keyBytes)))
}

// node writes what a node's kubelet and kube-proxy need.
func (a *authority) node(hostname, address, url string, ca *pair) {
	a.server("kubelet", ca, []string{hostname}, address, "127.0.0.1")
	a.kubeconfig("kubelet", url, ca, a.client("kubelet-client", ca, "system:node:"+hostname, "system:nodes"))
	a.kubeconfig("proxy", url, ca, a.client("proxy", ca, "system:kube-proxy"))
}

// writePKI writes what a further node needs, signed by the cluster's authority.
func (n node) writePKI() error {
	keys, err := tls.LoadX509KeyPair(n.instance.dir("pki", "ca.crt"), n.instance.dir("pki", "ca.key"))
	if err != nil {
		return err
	}
	certPEM, err := os.ReadFile(n.instance.dir("pki", "ca.crt"))
	if err != nil {
		return err
	}
	ca := &pair{cert: keys.Leaf, key: keys.PrivateKey.(*ecdsa.PrivateKey), certPEM: certPEM}
	a := &authority{dir: n.dir("pki")}
	a.write("ca.crt", certPEM)
	a.node(n.hostname(), n.ip(), "https://"+n.nodeIP()+":6443", ca)
	return a.err
}

// writePKI writes the certificates, keys and kubeconfigs of a cluster and its first node into the folder.
func writePKI(dir, nodeIP, apiIP string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	a := &authority{dir: dir}
	url := "https://" + nodeIP + ":6443"
	ca := a.issue("ca", nil, &x509.Certificate{Subject: pkix.Name{CommonName: "kubernetes"}})
	front := a.issue("front-proxy-ca", nil, &x509.Certificate{Subject: pkix.Name{CommonName: "front-proxy-ca"}})
	a.client("front-proxy-client", front, "front-proxy-client")
	a.server("apiserver", ca, []string{
		"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
		"kubernetes.default.svc.cluster.local",
	}, nodeIP, apiIP, "127.0.0.1")
	a.client("apiserver-kubelet-client", ca, "apiserver-kubelet-client", "system:masters")
	a.kubeconfig("kcm", url, ca, a.client("kcm", ca, "system:kube-controller-manager"))
	a.kubeconfig("scheduler", url, ca, a.client("scheduler", ca, "system:kube-scheduler"))
	a.node("node", nodeIP, url, ca)

	sa, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(&sa.PublicKey)
	if err != nil {
		return err
	}
	a.write("sa.key", keyPEM(sa))
	a.write("sa.pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	// Last: that it is there means that all are.
	a.kubeconfig("admin", url, ca, a.client("admin", ca, "admin", "system:masters"))
	return a.err
}
