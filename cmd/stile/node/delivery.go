package node

import (
	"context"
	"fmt"
	"io/fs"
	"os"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/delivery"
)

// openOutbox starts what carries messages, if the configuration has anything that does.
func (n *Node) openOutbox() error {
	cfg := n.cfg.Delivery
	var own fs.FS
	if cfg.Texts != "" {
		own = os.DirFS(cfg.Texts)
	}
	texts, err := delivery.NewTexts(own)
	if err != nil {
		return fmt.Errorf("node: delivery.texts: %w", err)
	}
	sender, err := n.sender(cfg)
	if err != nil || sender == nil {
		return err
	}
	n.outbox, err = delivery.New(context.Background(), delivery.Config{ // ends with the node, not with the start
		Sender: sender, Texts: texts, Marks: n.Base.Store, Logger: n.opts.Logger.Named("delivery"), Now: n.opts.Now,
	})
	return err
}

// sender is what the configuration names; nil if it names none.
func (n *Node) sender(cfg config.Delivery) (delivery.Sender, error) {
	switch cfg.By {
	case "smtp":
		password, err := secretOf(cfg.SMTP.Password)
		if err != nil {
			return nil, err
		}
		return delivery.NewSMTP(delivery.SMTPConfig{
			Address: cfg.SMTP.Address, TLS: cfg.SMTP.TLS, From: cfg.SMTP.From,
			Username: cfg.SMTP.Username, Password: password, Now: n.opts.Now,
		})
	case "webhook":
		secret, err := secretOf(cfg.Webhook.Secret)
		if err != nil {
			return nil, err
		}
		return delivery.NewWebhook(delivery.WebhookConfig{URL: cfg.Webhook.URL, Secret: []byte(secret), Now: n.opts.Now})
	case "file":
		f, err := os.OpenFile(cfg.File, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return nil, fmt.Errorf("node: delivery: %w", err)
		}
		n.Base.closes = append(n.Base.closes, f.Close)
		return delivery.NewWriter(f), nil
	case "console":
		return delivery.NewWriter(n.opts.Stdout), nil
	}
	return nil, nil
}

// secretOf reads a secret, "" if no place is named.
func secretOf(where config.Secret) (string, error) {
	if where.IsZero() {
		return "", nil
	}
	text, err := where.Read()
	if err != nil {
		return "", fmt.Errorf("node: delivery: %w", err)
	}
	return text, nil
}

// putter is the outbox as the engine takes it: a nil one is none.
func (n *Node) putter() flows.Outbox {
	if n.outbox == nil {
		return nil
	}
	return n.outbox
}

// budgetOf is how many messages go where.
func budgetOf(cfg config.Delivery) (flows.Budget, error) {
	reach, err := account.NewReach(cfg.Countries, cfg.Refused)
	if err != nil {
		return flows.Budget{}, fmt.Errorf("node: delivery: %w", err)
	}
	return flows.Budget{
		PerAccount: cfg.PerAccount, PerDestination: cfg.PerDestination, PerClient: cfg.PerClient,
		PerDevice: cfg.PerDevice, PerRegion: cfg.PerCountry, Total: cfg.Total, Window: cfg.Window,
		Region: func(m flows.Message) (string, error) {
			if m.Channel != "sms" {
				return "", nil
			}
			return reach.Country(m.To)
		},
	}, nil
}

// guessesOf is how many wrong answers come from where.
func guessesOf(cfg config.Limits) flows.Guesses {
	return flows.Guesses{PerNetwork: cfg.WrongPerNetwork, PerClient: cfg.WrongPerClient, PerDevice: cfg.WrongPerDevice, Window: cfg.Window}
}

// quietOf are the notices that nobody is sent.
func quietOf(names []string) []flows.Notice {
	var out []flows.Notice
	for _, name := range names {
		out = append(out, flows.Notice(name))
	}
	return out
}
