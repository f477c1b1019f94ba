"""TensorFlow's tensor bundles and SavedModels."""
