from data_prep.scenes.generate import main

main()
