"""The judge: grades, checks and compares answers by what the texts say, and errs by a stated confusion matrix."""
