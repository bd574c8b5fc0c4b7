"""Seal and open: content, key schedule, wraps, encryption keys, keystore. protocols/sealing.md.

Two nouns, two verbs: a secret is *wrapped* for a recipient, a content is *sealed* under a secret.
"""
