"""Statistics: intervals, tests, power, agreement, prediction-powered inference, sequences that may be looked at any time.

Pure: numbers in, numbers out; randomness is a numpy Generator that is handed in. NaN is unscored: it is left out and
counted. Nothing is imported here, so that a process loads only the module it uses.
"""
