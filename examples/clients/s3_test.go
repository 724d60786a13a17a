package clients_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"
)

// A bucket is what S3 stores, as far as the test needs it.
type bucket struct {
	mu      sync.Mutex
	objects map[string][]byte
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.objects[r.URL.Path] = body
		return
	}
	b.mu.Lock()
	object, ok := b.objects[r.URL.Path]
	b.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(object))
}

// The S3 client stores and reads objects although every third request fails. It sends bodies that net/http cannot rewind,
// so it repeats its own PUTs; the pipeline repeats the GETs.
func TestS3(t *testing.T) {
	const objects, size = 8, 5 << 20
	server := &failing{next: &bucket{objects: map[string][]byte{}}}
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String(newServer(t, server)),
		Credentials:  credentials.NewStaticCredentialsProvider("id", "secret", ""),
		HTTPClient:   newClient(t),
		Region:       "eu-central-1",
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return time.Millisecond, nil })
			o.MaxAttempts = 5
		}),
		UsePathStyle: true,
	})
	random := rand.NewChaCha8([32]byte{7})
	sums := map[string][sha256.Size]byte{}
	for i := range objects {
		body := make([]byte, size)
		_, _ = random.Read(body)
		key := fmt.Sprintf("object-%d", i)
		sums[key] = sha256.Sum256(body)
		_, err := client.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: aws.String("bucket"), Key: aws.String(key), Body: bytes.NewReader(body),
		})
		require.NoError(t, err)
	}
	for key, want := range sums {
		object, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("bucket"), Key: aws.String(key)})
		require.NoError(t, err)
		body, err := io.ReadAll(object.Body)
		require.NoError(t, err)
		require.NoError(t, object.Body.Close())
		require.Equal(t, want, sha256.Sum256(body), key)
	}
	require.GreaterOrEqual(t, server.requests.Load(), int64(2*objects*3/2), "every third has failed")
}
