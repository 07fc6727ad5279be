package main

// The part of libsmelt that this program uses. What crosses the border is copied: arguments into
// memory of C before a call, receipts into memory of Go after it, so that nothing outside this file
// owns memory of C but a Node.

/*
#cgo pkg-config: smelt
#include <smelt/smelt.h>
#include <stdlib.h>
*/
import "C"

import (
	"fmt"
	"unsafe"
)

// Address of an account.
type Address [C.SMELT_ADDRESS_BYTES]byte

// Error says why something could not be done. What a contract did is never an error: see Receipt.
type Error struct {
	Status  int
	Name    string
	Offset  int64 // bytes from the start of the module, -1: does not apply
	Message string
}

func (e *Error) Error() string {
	if e.Offset < 0 {
		return fmt.Sprintf("%d %s: %s", e.Status, e.Name, e.Message)
	}
	return fmt.Sprintf("%d %s at offset %d: %s", e.Status, e.Name, e.Offset, e.Message)
}

// IsRefusal tells that the module was refused, by a pure function of its bytes: the same answer on
// every machine. Everything from 300 up is trouble of this machine and says nothing about the
// transaction.
func (e *Error) IsRefusal() bool {
	return e.Status/100 == 2
}

// check returns nil for OK. (The type is error, and not *Error, so that nil compares as nil.)
func check(status C.enum_smelt_status, cerr *C.struct_smelt_error) error {
	if status == C.SMELT_STATUS_OK {
		return nil
	}
	return &Error{
		Status:  int(status),
		Name:    C.GoString(C.smelt_status_name(status)),
		Offset:  int64(cerr.offset),
		Message: C.GoString(&cerr.message[0]),
	}
}

// Version of the library that is linked.
func Version() string {
	return C.GoString(C.smelt_version())
}

// toSlice copies into memory of C, which the caller frees.
func toSlice(data []byte) C.struct_smelt_slice {
	return C.struct_smelt_slice{data: (*C.uint8_t)(C.CBytes(data)), size: C.size_t(len(data))}
}

func freeSlice(slice C.struct_smelt_slice) {
	C.free(unsafe.Pointer(slice.data))
}

func fromC(data *C.uint8_t, size C.size_t) []byte {
	if size == 0 {
		return nil
	}
	return append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(data)), int(size))...)
}

// WatToWasm turns the text format into binary.
func WatToWasm(text string) ([]byte, error) {
	slice := toSlice([]byte(text))
	defer freeSlice(slice)
	var wasm C.struct_smelt_buf
	defer C.smelt_buf_deinit(&wasm)
	var cerr C.struct_smelt_error
	if err := check(C.smelt_wat_to_wasm(slice, &wasm, &cerr), &cerr); err != nil {
		return nil, err
	}
	return fromC(wasm.data, wasm.size), nil
}

// Transaction is what a call brings besides its target; zeroes are fine.
type Transaction struct {
	From           Address
	Input          []byte
	BlockNumber    uint64
	BlockTimestamp uint64
	IsStatic       bool
}

// toC copies the input: free it with freeSlice.
func (t *Transaction) toC() C.struct_smelt_transaction {
	var transaction C.struct_smelt_transaction
	transaction.from = toAddress(t.From)
	transaction.input = toSlice(t.Input)
	transaction.block_number = C.uint64_t(t.BlockNumber)
	transaction.block_timestamp = C.uint64_t(t.BlockTimestamp)
	transaction.is_static = C.bool(t.IsStatic)
	return transaction
}

func toAddress(address Address) C.struct_smelt_address {
	var caddress C.struct_smelt_address
	for i, octet := range address {
		caddress.bytes[i] = C.uint8_t(octet)
	}
	return caddress
}

// Event that a contract emitted.
type Event struct {
	Topic []byte
	Data  []byte
}

// Receipt says what a transaction did.
type Receipt struct {
	Outcome    string   // "returned", "reverted", "out_of_fuel", or "trapped" with the reason
	Results    []string // "i32:3" and the like
	ReturnData []byte
	Events     []Event
	FuelUsed   uint64
	WriteCount uint64
	Address    Address // the contract; a new one after a deploy
}

// takeReceipt copies a receipt and destroys the original.
func takeReceipt(creceipt *C.struct_smelt_receipt) *Receipt {
	defer C.smelt_receipt_destroy(creceipt)
	receipt := &Receipt{
		Outcome:    C.GoString(C.smelt_outcome_name(creceipt.outcome.kind)),
		ReturnData: fromC(creceipt.return_data.data, creceipt.return_data.size),
		FuelUsed:   uint64(creceipt.fuel_used),
		WriteCount: uint64(creceipt.write_count),
	}
	if creceipt.outcome.kind == C.SMELT_OUTCOME_TRAPPED {
		receipt.Outcome += ": " + C.GoString(C.smelt_trap_name(creceipt.outcome.trap))
	}
	for i, octet := range creceipt.address.bytes {
		receipt.Address[i] = byte(octet)
	}
	for _, value := range unsafe.Slice(creceipt.results, int(creceipt.result_count)) {
		var text [C.SMELT_VALUE_TEXT_BYTES]C.char
		C.smelt_value_format(value, &text[0])
		receipt.Results = append(receipt.Results, C.GoString(&text[0]))
	}
	for _, event := range unsafe.Slice(creceipt.events, int(creceipt.event_count)) {
		receipt.Events = append(receipt.Events, Event{
			Topic: fromC(event.topic.data, event.topic.size),
			Data:  fromC(event.data.data, event.data.size),
		})
	}
	return receipt
}

// Node holds an engine over a state in memory and what the engine borrows. Deploy and Call may be
// used by several goroutines at once.
type Node struct {
	cache    *C.struct_smelt_cache
	schedule *C.struct_smelt_schedule
	compiler *C.struct_smelt_compiler
	store    *C.struct_smelt_store
	engine   *C.struct_smelt_engine
}

// OpenNode opens the cache, creating it when it is missing, over an empty state.
func OpenNode(cacheDirectory string) (*Node, error) {
	node := &Node{}
	if err := node.open(cacheDirectory); err != nil {
		node.Close()
		return nil, err
	}
	return node, nil
}

func (n *Node) open(cacheDirectory string) error {
	directory := C.CString(cacheDirectory)
	defer C.free(unsafe.Pointer(directory))
	schedule := C.CString("engine-v1")
	defer C.free(unsafe.Pointer(schedule))
	var cerr C.struct_smelt_error

	if err := check(C.smelt_cache_open(directory, &n.cache, &cerr), &cerr); err != nil {
		return err
	}
	if err := check(C.smelt_schedule_builtin(schedule, &C.smelt_profile_engine, &n.schedule, &cerr),
		&cerr); err != nil {
		return err
	}
	compilerOptions := C.struct_smelt_compiler_options{cache: n.cache, schedule: n.schedule}
	if err := check(C.smelt_compiler_create(&compilerOptions, &n.compiler, &cerr),
		&cerr); err != nil {
		return err
	}
	if err := check(C.smelt_store_create_memory(&n.store, &cerr), &cerr); err != nil {
		return err
	}
	engineOptions := C.struct_smelt_engine_options{
		store:    n.store,
		schedule: n.schedule,
		source:   C.smelt_compiler_source(n.compiler),
	}
	return check(C.smelt_engine_create(&engineOptions, &n.engine, &cerr), &cerr)
}

// Close releases everything, also of a half-opened node. No call may be running.
func (n *Node) Close() {
	C.smelt_engine_destroy(n.engine)
	C.smelt_store_close(n.store)
	C.smelt_compiler_destroy(n.compiler)
	C.smelt_schedule_destroy(n.schedule)
	C.smelt_cache_close(n.cache)
	*n = Node{}
}

// Deploy creates a contract.
func (n *Node) Deploy(transaction Transaction, wasm []byte) (*Receipt, error) {
	ctransaction := transaction.toC()
	defer freeSlice(ctransaction.input)
	slice := toSlice(wasm)
	defer freeSlice(slice)
	var creceipt *C.struct_smelt_receipt
	var cerr C.struct_smelt_error
	if err := check(C.smelt_deploy(n.engine, &ctransaction, slice, &creceipt, &cerr),
		&cerr); err != nil {
		return nil, err
	}
	return takeReceipt(creceipt), nil
}

// Call runs an export that takes no parameters.
func (n *Node) Call(transaction Transaction, address Address, function string) (*Receipt, error) {
	ctransaction := transaction.toC()
	defer freeSlice(ctransaction.input)
	caddress := toAddress(address)
	cfunction := C.CString(function)
	defer C.free(unsafe.Pointer(cfunction))
	var creceipt *C.struct_smelt_receipt
	var cerr C.struct_smelt_error
	if err := check(C.smelt_call(n.engine, &ctransaction, &caddress, cfunction, nil, 0, &creceipt,
		&cerr), &cerr); err != nil {
		return nil, err
	}
	return takeReceipt(creceipt), nil
}
