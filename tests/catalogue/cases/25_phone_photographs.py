"""JPEGs of phones and cameras with a second, dependent picture (MPO): refused; frame=0 helps in image_options, but load_cohort(screenshots='crop') names that remedy and has no such option. Expected: an option, or the main picture where the others are thumbnails or gain maps."""
import os, sys, tempfile, warnings
import numpy as np, pandas as pd
warnings.simplefilter("ignore")
HERE = tempfile.mkdtemp()

def done(fault, text):
    print(("FAULT: " if fault else "OK: ") + text)
    sys.exit(1 if fault else 0)

from PIL import Image
from skosfusion.datasets import crop_screenshots, load_cohort
im = Image.fromarray((np.random.default_rng(0).random((64, 64)) * 255).astype(np.uint8))
im.save(os.path.join(HERE, "a.jpg"), "MPO", save_all=True, append_images=[im.resize((16, 16))])
t = pd.DataFrame({"image": ["a.jpg"], "patient_id": ["1"], "diagnosis": ["x"]})
try:
    crop_screenshots(load_cohort(t, image_folder=HERE).frame, "*.jpg", (0, 0, 32, 32), data_home=HERE)
    done(False, "cropped")
except OSError as error:
    done("frame=0" in str(error), str(error).split(": ", 1)[1])
