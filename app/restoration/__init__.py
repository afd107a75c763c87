"""Teaching a restored or rewound database whom it had forgotten, and what it may serve (invariant I15)."""
