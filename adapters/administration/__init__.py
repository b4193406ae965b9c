"""What a person may do, by the command line and by HTTP alike: its rules stand here once."""
