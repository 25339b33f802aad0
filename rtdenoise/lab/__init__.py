"""Research tools: training and export of networks.  Nothing used at run time imports them."""
