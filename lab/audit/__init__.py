"""Looks at the four databases from outside and says what should never have happened.

`reading` turns the databases into one picture per order, `orders` judges a picture, `books` and
`leftovers` judge what is not an order's, and `run` looks again before it accuses. `comparison` holds
what customers were told against the same pictures, and `told` judges that.
"""
