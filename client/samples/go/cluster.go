package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"trimaran.example/sample/pb/queuev1"
)

// Reason codes of MQ that decide what is done next.
const (
	backedOut       = 2003
	noMessage       = 2033
	callInterrupted = 2549
)

// moved: the node does not serve, or not any more, and has not done what it was asked: connection broken, nobody serves (an
// election, most likely), quiescing, stopping, replica.
var moved = []uint32{2009, 2059, 2161, 2162, 2543}

const (
	patience = 30 * time.Second
	longest  = 100 << 20
)

// errLost: the node that was asked is gone, and nobody can say whether it did what it was asked.
var errLost = errors.New("the node that served is gone, nobody can say whether the call was made")

// errUnreachable: the node that was to be asked is not there, and was not asked.
var errUnreachable = errors.New("cannot connect")

// A refused call has MQ's completion code and reason code, and what to do about it.
type refused struct{ outcome *queuev1.Outcome }

func (r refused) Error() string {
	return fmt.Sprintf("refused: completion code %d, reason %d: %s", r.outcome.Code, r.outcome.Reason, r.outcome.Text)
}

func refusal(outcome *queuev1.Outcome) error {
	if outcome.GetCode() > 1 {
		return refused{outcome}
	}
	return nil
}

func isReason(err error, reasons ...uint32) bool {
	var refused refused
	return errors.As(err, &refused) && slices.Contains(reasons, refused.outcome.Reason)
}

// lost says errLost for gRPC's ways to say that a node stops, has died, or hangs.
func lost(err error) error {
	switch status.Code(err) {
	case codes.Unavailable, codes.Canceled, codes.DeadlineExceeded:
		return fmt.Errorf("%w: %v", errLost, err)
	}
	return err
}

// A cluster knows the node that serves the queue manager, or finds it.
type cluster struct {
	addresses    []string
	transport    credentials.TransportCredentials
	queueManager string

	serving    string
	connection *grpc.ClientConn
	connected  string
}

func newCluster(addresses []string, transport credentials.TransportCredentials, queueManager string) *cluster {
	return &cluster{addresses: addresses, transport: transport, queueManager: queueManager}
}

func (c *cluster) close() {
	if c.connection != nil {
		c.connection.Close()
		c.connection = nil
	}
}

// An answer has an outcome, and where to go instead.
type answer interface {
	GetOutcome() *queuev1.Outcome
	GetServing() *queuev1.Serving
}

// call gives what do answers on the node that serves. It gives up only when nobody serves for too long. errLost passes: whether
// a call may be made once more is for those to say who know what it does.
func call[A answer](ctx context.Context, c *cluster, do func(queuev1.QueueClient) (A, error)) (A, error) {
	var none A
	until := time.Now().Add(patience)
	for number := 0; ; number++ {
		address := c.serving
		if address == "" {
			address = c.addresses[number%len(c.addresses)]
		}
		c.serving = ""
		client, err := c.client(ctx, address)
		if err == nil {
			var answer A
			if answer, err = do(client); err != nil {
				return none, lost(err)
			}
			err = refusal(answer.GetOutcome())
			if isReason(err, callInterrupted) {
				return none, fmt.Errorf("%w: %v", errLost, err)
			}
			if !isReason(err, moved...) {
				c.serving = address
				return answer, err
			}
			c.serving = answer.GetServing().GetAddress()
		}
		if time.Now().After(until) {
			return none, fmt.Errorf("no node serves: %w", err)
		}
		if c.serving == "" {
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// client is connected: what fails before that was certainly not done.
func (c *cluster) client(ctx context.Context, address string) (queuev1.QueueClient, error) {
	if c.connection != nil && c.connected == address && c.connection.GetState() == connectivity.Ready {
		return queuev1.NewQueueClient(c.connection), nil
	}
	c.close()
	connection, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(c.transport),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(longest+1<<20)))
	if err != nil {
		return nil, err
	}
	c.connection, c.connected = connection, address
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	connection.Connect()
	for {
		switch state := connection.GetState(); state {
		case connectivity.Ready:
			return queuev1.NewQueueClient(connection), nil
		case connectivity.TransientFailure, connectivity.Shutdown:
			return nil, fmt.Errorf("%w to %s", errUnreachable, address)
		default:
			if !connection.WaitForStateChange(ctx, state) {
				return nil, fmt.Errorf("%w to %s", errUnreachable, address)
			}
		}
	}
}

// ---- a session ----

// A session is a stream: calls with tokens go out, completions with the same tokens come back. One unit of work at a time.
type session struct {
	stream  queuev1.Queue_SessionClient
	cancel  context.CancelFunc
	token   uint64
	decided uint64

	// Of the commit that was sent and not answered yet.
	committing  bool
	decidedThen uint64
}

func connect(ctx context.Context, c *cluster) (*session, error) {
	var opened *session
	_, err := call(ctx, c, func(client queuev1.QueueClient) (*queuev1.Completion, error) {
		opened.close()
		ctx, cancel := context.WithCancel(ctx)
		stream, err := client.Session(ctx)
		if err != nil {
			cancel()
			return nil, err
		}
		opened = &session{stream: stream, cancel: cancel}
		asked := &queuev1.Connect{QueueManager: c.queueManager, ApplicationName: "sample"}
		return opened.complete(&queuev1.Call{Call: &queuev1.Call_Connect{Connect: asked}})
	})
	if err != nil {
		opened.close()
		return nil, err
	}
	return opened, nil
}

func (s *session) close() {
	if s != nil {
		s.stream.CloseSend()
		s.cancel()
	}
}

// complete sends one call and waits for its completion. (Any number may be on its way; a sample needs one.)
func (s *session) complete(call *queuev1.Call) (*queuev1.Completion, error) {
	s.token++
	call.Token = s.token
	// Send says only io.EOF when the stream has ended; Recv says why.
	_ = s.stream.Send(&queuev1.SessionRequest{Calls: []*queuev1.Call{call}})
	for {
		response, err := s.stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil, errLost
		}
		if err != nil {
			return nil, lost(err)
		}
		s.decided = max(s.decided, response.UnitsDecided)
		for _, completion := range response.Completions {
			// Token 0: the queue manager ends the session.
			if completion.Token == s.token || completion.Token == 0 {
				return completion, nil
			}
		}
	}
}

func (s *session) call(call *queuev1.Call) (*queuev1.Completion, error) {
	completion, err := s.complete(call)
	if err == nil {
		err = refusal(completion.Outcome)
	}
	if isReason(err, moved...) || isReason(err, backedOut, callInterrupted) {
		return nil, fmt.Errorf("%w: %v", errLost, err)
	}
	return completion, err
}

func (s *session) commit(unit []byte) error {
	s.committing, s.decidedThen = true, s.decided
	commit := &queuev1.Commit{UnitId: unit, UnitsDecided: &s.decidedThen}
	_, err := s.call(&queuev1.Call{Call: &queuev1.Call_Commit{Commit: commit}})
	if err == nil {
		s.committing = false
	}
	return err
}

// ---- TLS ----

type tlsFiles struct{ authority, certificate, key, name string }

func (f tlsFiles) credentials() (credentials.TransportCredentials, error) {
	if f.authority == "" {
		return insecure.NewCredentials(), nil
	}
	pem, err := os.ReadFile(f.authority)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: f.name}
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate in it", f.authority)
	}
	if f.certificate != "" {
		own, err := tls.LoadX509KeyPair(f.certificate, f.key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{own}
	}
	return credentials.NewTLS(config), nil
}
