//! The terminal: a prompt over a session, and scripts run from files, pipes and the command line.
