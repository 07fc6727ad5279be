// Embedding smelt in Go: compile contracts, deploy them into a state in memory, call them.
//
//	go run . ../contracts <directory>
//
// <directory> gets the entry `cache` (native code); run it again and nothing is compiled.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Floats are refused by the default policy.
const refused = `(module (func (export "half") (result f32) (f32.const 0.5)))`

const (
	readers = 4
	reads   = 100
)

func printReceipt(what string, receipt *Receipt) {
	result := "-"
	if len(receipt.Results) > 0 {
		result = strings.Join(receipt.Results, " ")
	}
	fmt.Printf("%-9s %s  result %s  fuel %d  writes %d\n",
		what, receipt.Outcome, result, receipt.FuelUsed, receipt.WriteCount)
	for _, event := range receipt.Events {
		fmt.Printf("          event %s: %s\n", event.Topic, event.Data)
	}
}

func transaction(blockNumber uint64) Transaction {
	return Transaction{From: Address{0xa1}, BlockNumber: blockNumber, BlockTimestamp: 1_700_000_000}
}

func deploy(node *Node, blockNumber uint64, path string) (Address, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Address{}, err
	}
	wasm, err := WatToWasm(string(text))
	if err != nil {
		return Address{}, err
	}
	receipt, err := node.Deploy(transaction(blockNumber), wasm)
	if err != nil {
		return Address{}, err
	}
	printReceipt("deploy", receipt)
	return receipt.Address, nil
}

// refuse deploys a module that no machine accepts, and returns what was said about it.
func refuse(node *Node) (*Error, error) {
	wasm, err := WatToWasm(refused)
	if err != nil {
		return nil, err
	}
	_, err = node.Deploy(transaction(7), wasm)
	var refusal *Error
	if errors.As(err, &refusal) && refusal.IsRefusal() {
		return refusal, nil
	}
	if err != nil {
		return nil, err
	}
	return nil, errors.New("a module with floats was accepted")
}

// readBeside makes static calls from several goroutines over one engine.
func readBeside(node *Node, board Address, notice string) error {
	view := transaction(6)
	view.IsStatic = true
	failures := make(chan error, readers)
	var group sync.WaitGroup
	for i := 0; i < readers; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := 0; i < reads; i++ {
				receipt, err := node.Call(view, board, "read")
				if err == nil && string(receipt.ReturnData) != notice {
					err = fmt.Errorf("a reader got %q", receipt.ReturnData)
				}
				if err != nil {
					failures <- err
					return
				}
			}
		}()
	}
	group.Wait()
	close(failures)
	return <-failures // nil when there are none
}

func run(contracts, directory string) error {
	node, err := OpenNode(filepath.Join(directory, "cache"))
	if err != nil {
		return err
	}
	defer node.Close()

	counter, err := deploy(node, 1, filepath.Join(contracts, "counter.wat"))
	if err != nil {
		return err
	}
	for blockNumber := uint64(2); blockNumber < 5; blockNumber++ {
		receipt, err := node.Call(transaction(blockNumber), counter, "increment")
		if err != nil {
			return err
		}
		printReceipt("increment", receipt)
	}

	board, err := deploy(node, 5, filepath.Join(contracts, "board.wat"))
	if err != nil {
		return err
	}
	const notice = "hello, chain"
	post := transaction(6)
	post.Input = []byte(notice)
	receipt, err := node.Call(post, board, "post")
	if err != nil {
		return err
	}
	printReceipt("post", receipt)

	// What a contract does wrong is an outcome, in the receipt …
	view := transaction(6)
	view.IsStatic = true
	receipt, err = node.Call(view, counter, "increment")
	if err != nil {
		return err
	}
	printReceipt("static", receipt)

	// … and what cannot be done at all is an error.
	refusal, err := refuse(node)
	if err != nil {
		return err
	}
	fmt.Printf("refused   %v\n", refusal)

	if err := readBeside(node, board, notice); err != nil {
		return err
	}
	fmt.Printf("read      %d static calls by %d goroutines\n", readers*reads, readers)
	return nil
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintf(os.Stderr, "usage: %s <contracts> <directory>\n", os.Args[0])
		os.Exit(2)
	}
	fmt.Println("smelt", Version())
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintf(os.Stderr, "embed: %v\n", err)
		os.Exit(1)
	}
}
