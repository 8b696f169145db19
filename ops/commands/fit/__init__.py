"""The command `fit`: does the registry fit the card?"""
