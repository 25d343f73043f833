package service

import (
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// sleepy is a router over components that never answer, which counts the questions.
type sleepy struct {
	*Router
	asked map[string]int
	open  chan struct{} // closed: they answer
}

func newSleepy() *sleepy {
	s := &sleepy{asked: map[string]int{}, open: make(chan struct{})}
	answer := func(r *http.Request, status int) (*http.Response, error) {
		return &http.Response{StatusCode: status, Body: http.NoBody, Header: http.Header{}, Request: r}, nil
	}
	s.Router = New(Options{Modules: someModules(), Host: hostOf, MaxCalls: 10, Transport: tripper(
		func(r *http.Request) (*http.Response, error) {
			s.asked[r.Method+" "+r.URL.Host+r.URL.Path]++
			select {
			case <-s.open:
				return answer(r, http.StatusOK)
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		})})
	return s
}

func (s *sleepy) wake(method, namespace, rest, login string, from byte) {
	r, _ := http.NewRequest(method, "http://x/"+namespace+"/"+rest, nil)
	if login != "" {
		r.Header.Set("Authorization", login)
	}
	s.waker.wake(r, s.Modules.find(namespace).component(rest),
		visitor{namespace, netip.AddrFrom4([4]byte{192, 0, 2, from})})
	synctest.Wait()
}

const leaf, tree = "HEAD leaf.pu-ann.svc.cluster.local/readyz", "HEAD tree.pu-ann.svc.cluster.local/readyz"

// A component is woken by a call of one of its paths that can reach it, once at a time.
func TestWake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			method, namespace, rest, login string
			want                           string
		}{
			{"POST", "pu-ann", "leaf/predict", "Basic eA==", leaf},
			{"POST", "pu-ann", "leaf/v2/deep/predict", "Bearer x", leaf},
			{"GET", "pu-ann", "leaf/tree/openapi.json", "Basic eA==", tree},
			{"POST", "pu-ann", "open/predict", "", leaf},
			{"POST", "pu-bob", "leaf/predict", "", "HEAD dev-leaf.pu-bob.svc.cluster.local/readyz"},
			{"POST", "pu-ann", "leaf/predict", "", ""}, // the gateway will refuse it
			{"OPTIONS", "pu-ann", "open/predict", "", ""},
			{"DELETE", "pu-ann", "open/predict", "", ""},
			{"POST", "pu-ann", "leaf", "Basic eA==", ""}, // no path of a component
			{"POST", "pu-ann", "leaflet/predict", "Basic eA==", ""},
			{"GET", "pu-ann", "files/visitors/", "Basic eA==", ""},
		} {
			s := newSleepy()
			s.wake(c.method, c.namespace, c.rest, c.login, 1)
			s.wake(c.method, c.namespace, c.rest, c.login, 2) // while the first question waits
			want := map[string]int{c.want: 1}
			if c.want == "" {
				want = map[string]int{}
			}
			if fmt.Sprint(s.asked) != fmt.Sprint(want) {
				t.Errorf("%v: asked %v", c, s.asked)
			}
			close(s.open)
			synctest.Wait()
			s.wake(c.method, c.namespace, c.rest, c.login, 3) // it is awake
			if fmt.Sprint(s.asked) != fmt.Sprint(want) {
				t.Errorf("%v: asked %v, though it is awake", c, s.asked)
			}
			time.Sleep(fresh)
			s.wake(c.method, c.namespace, c.rest, c.login, 3)
			if c.want != "" && s.asked[c.want] != 2 {
				t.Errorf("%v: asked %v, though it may be asleep again", c, s.asked)
			}
		}
	})
}

// A question ends when nobody answers.
func TestAQuestionEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSleepy()
		s.wake("POST", "pu-ann", "open/predict", "", 1)
		time.Sleep(waiting + time.Second)
		synctest.Wait()
		s.wake("POST", "pu-ann", "open/predict", "", 1)
		if s.asked[leaf] != 2 {
			t.Errorf("%v", s.asked)
		}
		close(s.open)
	})
}

// One address wakes the components of a module so many times a minute, whatever login it shows, and
// once a minute when it was refused; another address, and another module, are not concerned.
func TestWakingIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSleepy()
		close(s.open)
		try := func(namespace, rest string, from byte, within time.Duration) (n int) {
			clear(s.asked)
			for began := time.Now(); time.Since(began) < within; time.Sleep(fresh) {
				s.wake("POST", namespace, rest, "Basic eA==", from)
			}
			for _, k := range s.asked {
				n += k
			}
			return n
		}
		const minutes = 10
		if n := try("pu-ann", "leaf/predict", 1, minutes*time.Minute); n > burst+6*minutes || n < 6*minutes {
			t.Errorf("woken %d times within %d minutes", n, minutes)
		}
		if n := try("pu-ann", "leaf/predict", 2, 10*time.Second); n != 2 {
			t.Errorf("another address: %d", n)
		}
		if n := try("pu-bob", "leaf/predict", 1, 10*time.Second); n != 2 {
			t.Errorf("another module: %d", n)
		}
		n := 0
		for range minutes * 60 / 5 {
			clear(s.asked)
			s.wake("POST", "pu-ann", "leaf/predict", "Basic eA==", 3)
			if s.asked[leaf] > 0 {
				n++
				s.waker.refused(visitor{"pu-ann", netip.AddrFrom4([4]byte{192, 0, 2, 3})})
			}
			time.Sleep(fresh)
		}
		if n > minutes+1 {
			t.Errorf("refused, and yet it has woken %d times within %d minutes", n, minutes)
		}
		if most := s.waker.buckets.Len(); most > 4 {
			t.Errorf("%d addresses are remembered", most)
		}
	})
}
