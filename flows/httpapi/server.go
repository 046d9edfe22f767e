package httpapi

import (
	"net/http"
	"time"

	"go.uber.org/zap"
)

// NewServer returns a server for addr that does not wait for slow or endless
// requests. Its own errors, such as failed handshakes, go to log as warnings.
func NewServer(addr string, h http.Handler, log *zap.Logger) (*http.Server, error) {
	errorLog, err := zap.NewStdLogAt(log.Named("http"), zap.WarnLevel)
	if err != nil {
		return nil, err
	}
	return &http.Server{
		Addr:              addr,
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          errorLog,
	}, nil
}
