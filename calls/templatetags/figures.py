"""How figures look on a page."""

from django import template

from calls import dashboard

register = template.Library()
register.filter("percent", dashboard.percent)
register.filter("count", dashboard.count)
