"""Saving a fitted classifier, and loading one from a file of a stranger."""

from sklearn.utils.validation import check_is_fitted

from ..exceptions import ModelFileError
from ._images import ImageFedNet


class SavableNet(ImageFedNet):
    """A classifier that can be written to a file without pickle, and read from one."""

    def save(self, path):
        """Write the fitted classifier to a file: safetensors with a description in JSON.

        The file holds the network, all parameters but `memory` and other settings of the machine,
        labels, columns, the reading of images, the state of the optimiser, the history of epochs
        (not of batches), and the versions of the software. It is written beside `path` and then
        takes its place: a process that is killed leaves the last good file. A digest tells any
        damage. A pipeline with its normalisation is saved by `skosfusion.save_pipeline`.

        Parameters
        ----------
        path : str or os.PathLike
            The file, such as ``"model.safetensors"``, in a folder that exists.

        Raises
        ------
        NotFittedError
            If the classifier is not fitted.
        ValueError
            For a parameter that prediction needs and that has no form in a file, such as a lambda.
        OSError
            If the file cannot be written; an earlier one is left as it was.

        Warns
        -----
        UserWarning
            For parameters of training that have no form in a file; they are left out.

        See Also
        --------
        load : Read it again.

        Examples
        --------
        >>> import tempfile
        >>> from skosfusion import FusionClassifier
        >>> classifier = FusionClassifier(max_epochs=1).fit([[0.0], [1.0]], [0, 1])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     classifier.save(f"{folder}/model.safetensors")
        ...     loaded = FusionClassifier.load(f"{folder}/model.safetensors")
        >>> (loaded.predict_proba([[0.5]]) == classifier.predict_proba([[0.5]])).all()
        np.True_
        """
        from ..persistence import describe, write_model_file

        check_is_fitted(self)
        write_model_file(path, *describe(self))

    @classmethod
    def load(cls, path, *, trusted=()):
        """Read a fitted classifier from a file that `save` has written.

        Nothing in the file is executed. It may name classes of torch, skorch and scikit-learn that
        are listed in this package, and those that you pass. It gives the predictions of the
        classifier that was saved, to the bit on the same machine, and training goes on where it
        ended. `memory` and the numbers of loader processes are not in the file: set them again.

        Parameters
        ----------
        path : str or os.PathLike
            The file.
        trusted : iterable of type, default=()
            Classes of your own that the file may name, such as an encoder.

        Returns
        -------
        FusionClassifier
            Fitted.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ModelFileError
            If the file is damaged, cut off, no classifier of skosfusion, or names a class that is
            not trusted.

        Warns
        -----
        UserWarning
            If other versions wrote the file, or the device it was fitted on is not here: then the
            processor computes.

        See Also
        --------
        save : Write it.
        """
        from ..persistence import check_trusted, one_error, read_model_file, restore

        trusted = check_trusted(trusted, type)
        description, tensors = read_model_file(path)
        with one_error(path):
            if description["kind"] != "classifier":
                raise ModelFileError(
                    f"{str(path)!r} holds a {description['kind']!r:.50}, not a classifier alone; "
                    "read a pipeline with skosfusion.load_pipeline"
                )
            return restore(cls, description, tensors, trusted=trusted)
