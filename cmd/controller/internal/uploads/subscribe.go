package uploads

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/unip-knative/unip/eventing/notification/aws"
)

// subscribeTimeout bounds the answer to SNS's question.
const subscribeTimeout = 10 * time.Second

// subscribe answers SNS, which asks whether this endpoint wants a topic's messages, where body is such
// a question. Yes is said of the topic that the operator has named and of no other one, and to SNS
// (aws.ReadSubscription), not to where an answer of its leads. It reports whether no more is to be done.
func (r *Receiver) subscribe(ctx context.Context, body []byte) bool {
	s, ok := aws.ReadSubscription(body)
	if !ok {
		return true
	}
	if r.Topic == nil || s.TopicARN != r.Topic() {
		slog.Error("an SNS topic asks whether it may send, which is not that of s3.notificationARN: "+
			"name it there, and request the confirmation again", "topic", fmt.Sprintf("%.256q", s.TopicARN))
		return true
	}
	if err := r.confirm(ctx, s.URL); err != nil {
		slog.Error("the subscription of an SNS topic cannot be confirmed; SNS asks again, or confirm it by "+
			"`aws sns confirm-subscription`", "topic", s.TopicARN, "error", err)
		return false
	}
	slog.Info("the subscription of an SNS topic is confirmed", "topic", s.TopicARN)
	return true
}

func (r *Receiver) confirm(ctx context.Context, at string) error {
	ctx, cancel := context.WithTimeout(ctx, subscribeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return err
	}
	c := &http.Client{Transport: r.SNS, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	res, err := c.Do(req)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err // without the URL, in which the question's token stands
	}
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("SNS answers %s", res.Status)
	}
	return nil
}
