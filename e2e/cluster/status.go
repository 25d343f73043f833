package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// state is what `status` says.
type state struct {
	ID         int    `json:"id"`
	Running    bool   `json:"running"`
	PID        int    `json:"pid,omitempty"`
	Kubeconfig string `json:"kubeconfig"`
	Ingress    string `json:"ingress"`
	S3         string `json:"s3"`
	State      string `json:"state"` // the instance's folder: logs, keys
	// Pods that are not ready, as kubectl shows them.
	NotReady []string `json:"notReady,omitempty"`
	Problem  string   `json:"problem,omitempty"`
}

func (i instance) status(ctx context.Context, asJSON bool) error {
	s := state{ID: i.ID, PID: i.first().pid(), Kubeconfig: i.kubeconfig(), Ingress: i.ingress(), S3: i.s3(), State: i.dir()}
	s.Running = s.PID != 0
	if s.Running {
		pods, err := i.kubectl(ctx, "get", "pods", "-A", "--no-headers", "--request-timeout=5s")
		if err != nil {
			s.Problem = err.Error()
		}
		for line := range strings.Lines(pods) {
			f := strings.Fields(line)
			if len(f) > 3 && f[3] != "Completed" {
				if a, b, _ := strings.Cut(f[2], "/"); a != b {
					s.NotReady = append(s.NotReady, strings.Join(f[:4], " "))
				}
			}
		}
	}
	if asJSON {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(s)
	}
	if !s.Running {
		fmt.Printf("cluster %d does not run\n", s.ID)
		return nil
	}
	fmt.Printf("cluster %d runs, pid %d\nkubeconfig  %s\ningress     %s\nS3          %s\nstate       %s\n", s.ID, s.PID,
		s.Kubeconfig, s.Ingress, s.S3, s.State)
	for _, p := range s.NotReady {
		fmt.Printf("not ready   %s\n", p)
	}
	if s.Problem != "" {
		fmt.Println(s.Problem)
	}
	return nil
}
