"""The worker: advances delta streams and writes the address book. It knows one verb: advance this stream.

A notification's way from the queue to the row: `dispatch` (deliveries) -> `inbox` (coalescing) -> `advance` (lease,
slices, follow-ups) -> `rounds` (pages), with what `turn` holds -> `mapping` (JSON to items) -> `apply_users` /
`apply_groups` (rows).
"""
