"""Backtests: predictions beside measurements that the model did not see."""
