"""A local Microsoft Entra login and Microsoft Graph over https, for people without a tenant and for tests.

It imitates what this project needs of the two services: client-credential tokens, delta queries over users and groups,
object reads, and change notifications. It is meant to be less kind than the real service and never kinder.

Nothing of the product is imported here, and the product imports nothing from here.
"""
