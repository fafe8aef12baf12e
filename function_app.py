# Left without code on purpose: the platform looks for a file of this name before it knows the app's settings, and finds
# 0 functions where there is none. What runs is main.py (PYTHON_SCRIPT_FILE_NAME); `import function_app` is the package. ADR 9.
