"""Every address of the project."""
urlpatterns = []
